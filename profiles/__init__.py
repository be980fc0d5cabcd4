"""Who is it? Profiles, identities, consent, segments and what behaviour says about them."""
