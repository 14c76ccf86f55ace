package publish

import "errors"

// ErrRefused means that the broker was reached and does not want this account: its
// password is wrong, its certificate is not taken, or it may not do what the daemon
// must. Trying again changes nothing until somebody changes a configuration.
var ErrRefused = errors.New("refused by the broker")
