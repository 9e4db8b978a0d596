"""What Meta's products share: the Graph API's requests, errors, limits and pages. Not a platform of its own."""
