"""`meno`, and `python -m deploy.local`: the command line."""

from deploy.local.cli.app import main

if __name__ == "__main__":
    main()
