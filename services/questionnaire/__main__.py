"""`python -m services.questionnaire`."""

from services.questionnaire.app import create_app
from shared.service import run

run(create_app, "questionnaire")
