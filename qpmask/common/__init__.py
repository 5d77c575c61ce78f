"""What any room may use: arguments checked, numbers in words, ragged arrays, memory, devices."""
