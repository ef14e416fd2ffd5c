"""What sailpipe says about itself: names of log events, and the logging set-up."""
