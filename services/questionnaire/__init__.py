"""questionnaire: forms as versioned data, the answers that families give, and what doctors decide on them."""
