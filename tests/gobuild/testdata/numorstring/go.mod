module github.com/projectcalico/api

go 1.26

require k8s.io/apimachinery v0.0.0

replace k8s.io/apimachinery => ./apimachinery
