"""`python -m services.gateway`."""

from services.gateway.app import create_app
from shared.service import run

run(create_app, "gateway")
