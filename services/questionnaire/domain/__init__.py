"""The rules of forms and responses: values in, values and events out."""
