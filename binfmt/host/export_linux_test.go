package host

// Explain is explain, for tests.
var Explain = explain
