"""The rules of the record: values in, values and events out."""
