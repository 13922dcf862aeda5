"""`migration.yaml`: read strictly, checked as a whole, resolved into one frozen `Plan`."""
