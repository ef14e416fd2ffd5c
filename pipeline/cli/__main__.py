"""`python -m pipeline.cli`: how `up` starts its parts, whatever PATH holds."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
