"""Operations of a traced model that lanes compute in another way."""
