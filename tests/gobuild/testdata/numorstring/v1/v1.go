// Package v1 is an API.
//
// +groupName=example.test
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/projectcalico/api/pkg/lib/numorstring"
)

// +kubebuilder:object:root=true
type Rule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Protocol numorstring.Protocol `json:"protocol"`
	Port     numorstring.Port     `json:"port"`
	Ports    []numorstring.Port   `json:"ports"`
}
