"""One module a command; what they share stands beside this folder."""
