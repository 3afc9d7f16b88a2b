module example.org/peers

go 1.22
