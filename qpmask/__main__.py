"""``python -m qpmask``."""

from qpmask.cli import main

if __name__ == "__main__":
    main()
