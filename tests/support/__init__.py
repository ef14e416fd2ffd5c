"""What tests share: real servers to start, and judges to compare with."""
