"""What every service of Meno stands on. It knows no business noun and no table."""
