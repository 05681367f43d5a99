"""Usage becomes money: price books, rating, draft invoices, their lines and documents."""
