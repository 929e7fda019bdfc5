"""Amazon's contact centre and telephony: what Connect, Lex and Chime ask of a Lambda, and what they are answered."""
