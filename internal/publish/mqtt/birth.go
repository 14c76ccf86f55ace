package mqtt

// born is what Home Assistant says when it has started.
const born = "online"

// isBirth reports whether a message asks for the states again: exactly that word, said
// just now. A retained one is old: it would ask at each connection.
func isBirth(payload []byte, retained bool) bool {
	return !retained && string(payload) == born
}
