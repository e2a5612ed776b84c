"""What a run comes to: comparison, figures as text, samples made ready for charts. Nothing here runs anything."""
