"""What sailpipe says about itself: names of log events and metrics, and the logging set-up."""
