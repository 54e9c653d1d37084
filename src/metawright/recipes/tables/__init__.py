"""From a table to a model: a first answer at once, then better ones while there is time."""
