module gosched.example/versus

go 1.24
