"""``python -m enhance_cli``."""

from enhance_cli.app import main

if __name__ == "__main__":
    main()
