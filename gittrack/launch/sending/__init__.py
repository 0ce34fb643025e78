"""What goes to a host before a job starts there: its code, files beside the code, and the attendant."""
