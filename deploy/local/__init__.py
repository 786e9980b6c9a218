"""The whole platform on one machine without containers: real Kafka, a document store for each service, five processes."""
