"""Prometheus metrics of the backbone; no label ever carries a key, an id or anything about a person."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

stored = Counter("hagukumi_store_documents_written_total", "Documents whose insert or update the store was asked for")
published = Counter("hagukumi_events_published_total", "Events acknowledged by Kafka", ["topic"])
publish_failures = Counter("hagukumi_publish_failures_total", "Sends that Kafka did not acknowledge", ["topic"])
outbox_depth = Gauge(
    "hagukumi_outbox_documents", "Documents whose outbox waits longer than the sweep time", ["collection"]
)
outbox_age = Gauge("hagukumi_outbox_oldest_seconds", "Age of the oldest waiting outbox", ["collection"])
stopped_subjects = Gauge("hagukumi_stopped_subjects", "Subjects whose publishing stopped for good", ["collection"])
consumed = Counter("hagukumi_events_consumed_total", "Events read, by what became of them", ["topic", "outcome"])
consumed_as = cache(consumed.labels)
"""The counter of a topic and an outcome, looked up once."""
batch_seconds = Histogram("hagukumi_batch_seconds", "Time to apply one batch", ["topic"])
dead_letters = Counter("hagukumi_dead_letters_total", "Records put aside, by reason code", ["topic", "reason"])
gaps = Gauge("hagukumi_gaps", "View documents that wait for a missing event", ["collection"])
parked = Gauge("hagukumi_parked_subjects", "View documents that are parked", ["collection"])
healed = Counter("hagukumi_healed_events_total", "Events read from an owner's archive", ["stream"])
wanted = Gauge("hagukumi_wanted_ranges", "Ranges of events that readers still have to get from their owners", [])
not_in_archive = Counter(
    "hagukumi_not_in_archive_total", "Revisions that a record named and the owner never announced", ["stream"]
)
reconciled = Counter(
    "hagukumi_reconciled_subjects_total", "Subjects that were behind their owner's head", ["stream", "view"]
)
heads_backwards = Gauge(
    "hagukumi_heads_backwards", "Subjects whose owner's head is lower than what was read", ["stream", "view"]
)
reconciled_at = Gauge("hagukumi_reconciled_at_seconds", "When the reconciler last ended a pass (epoch)", [])
lag = Gauge("hagukumi_consumer_lag", "Records not yet read", ["topic"])
last_poll = Gauge("hagukumi_consumer_last_progress_seconds", "When the consumer last made progress (epoch)", ["topic"])
http_seconds = Histogram("hagukumi_http_seconds", "HTTP requests", ["route", "method", "status"])
