"""gateway: the only door: who may, the public API, FHIR, the clinics' feeds and the municipalities' intake."""
