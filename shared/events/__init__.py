"""The contracts: every event that passes between services, one module per owner, golden examples beside them."""

from shared.events import gateway, municipal, notify, questionnaire, records, schedule
from shared.events.base import REGISTRY, Envelope, Event

__all__ = ["REGISTRY", "Envelope", "Event", "gateway", "municipal", "notify", "questionnaire", "records", "schedule"]
