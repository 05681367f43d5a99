"""What every page is made of: formats, tables, ranges, charts, exports."""
