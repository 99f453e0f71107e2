"""What Millrace is measured against."""
