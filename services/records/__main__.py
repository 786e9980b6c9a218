"""`python -m services.records`."""

from services.records.app import create_app
from shared.service import run

if __name__ == "__main__":
    run(create_app, "records")
