"""How many calls an API process holds, what each costs, how soon it is answered; and the usual pattern."""
