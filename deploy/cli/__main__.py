"""`meno`, and `python -m deploy.cli`: the command line."""

from deploy.cli.app import main

if __name__ == "__main__":
    main()
