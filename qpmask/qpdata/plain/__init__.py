"""The reader in plain Python: slow, of any content, and it says what is wrong with a file."""
