"""What any room may use: arguments checked, numbers in words, devices of PyTorch."""
