module github.com/projectcalico/go-build

go 1.26
