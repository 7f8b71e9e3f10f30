"""A rule set in other people's formats: SSSOM, FHIR ConceptMap, and the spreadsheet that people edit."""
