"""The entry point of `meno` and of `python -m deploy.cli`."""

from deploy.cli.app import main

if __name__ == "__main__":
    main()
