module example.org/rest

go 1.22
