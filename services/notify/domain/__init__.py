"""Who hears what: the rules of audiences, notices and reminders."""
