"""What sailpipe is compared with: programs as a competent user would write them."""
