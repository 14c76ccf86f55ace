package console

import (
	"bytes"
	"encoding/json"
	"io"
)

// maxBody is the most that a request may hold, in bytes.
const maxBody = 16 << 10

// decode reads the body of a request strictly: one JSON value with no unknown
// field, and nothing behind it. Its errors are of kind Invalid.
func decode[T any](body []byte) (T, error) {
	var v T
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	switch err := d.Decode(&v); {
	case err == io.EOF:
		return v, invalid("the request has no body")
	case err != nil:
		return v, invalid("request not understood: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return v, invalid("request not understood: something comes behind it")
	}
	return v, nil
}
