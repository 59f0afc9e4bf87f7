"""What every sender for mag needs. Yours to change."""
