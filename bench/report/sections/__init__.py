"""The sections of a report: sentences and tables, each made of figures."""
