"""The log of outcomes: what became of each event, kept for some days within a bounded room."""
