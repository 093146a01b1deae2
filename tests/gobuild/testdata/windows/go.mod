module example.test/windows

go 1.26
