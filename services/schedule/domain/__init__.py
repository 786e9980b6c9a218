"""The rules of the schedule: values in, values out, no input or output and no clock."""
